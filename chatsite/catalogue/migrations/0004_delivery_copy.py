from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalogue', '0003_model_nodes'),
    ]

    operations = [
        migrations.AlterField(
            model_name='delivery',
            name='kind',
            field=models.CharField(choices=[('download', 'Download'), ('import', 'Import'), ('export', 'Export'), ('remove', 'Removal'), ('copy', 'Copy to a machine')], max_length=16),
        ),
    ]
